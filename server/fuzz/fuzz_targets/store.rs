//! The file of `--state-dir`: whatever is in it, a server starts, and what it keeps then can be read again.
#![no_main]

use gavel_source::cluster::store::Store;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // redb panics on some damage, and the store takes that for what it is; the fuzzer's own hook would not let it.
    HOOK.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    let Ok(folder) = tempfile::tempdir() else { return };
    let name = FILE.get_or_init(|| {
        // Called as the store calls it.
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path()).expect("a new store");
        drop(store);
        let entry = std::fs::read_dir(folder.path()).expect("a folder").next().expect("a file").expect("an entry");
        (entry.file_name(), std::fs::read(entry.path()).expect("its content"))
    });
    // A good file, from some place on overwritten.
    let (name, good) = name;
    let (at, damage) = bytes.split_at(bytes.len().min(2));
    let mut content = good.clone();
    let at = at.iter().fold(0, |at, byte| at << 8 | usize::from(*byte)) % content.len();
    for (byte, damaged) in content[at..].iter_mut().zip(damage) {
        *byte = *damaged;
    }
    std::fs::write(folder.path().join(name), content).expect("a file");
    if let Ok((store, restored)) = Store::open(folder.path()) {
        drop((store, restored));
        let (_, again) = Store::open(folder.path()).expect("what was opened opens again");
        drop(again);
    }
});

static HOOK: std::sync::Once = std::sync::Once::new();
static FILE: std::sync::OnceLock<(std::ffi::OsString, Vec<u8>)> = std::sync::OnceLock::new();
