use super::*;

fn limits(in_flight: usize, caller_in_flight: usize, held_bytes: usize) -> Callers {
    Callers::new(Limits::new(Settings { in_flight, caller_in_flight, rate: None, held_bytes }))
}

fn user(name: &str) -> Key {
    Key::User(name.into())
}

/// Enters until refused.
fn fill(limits: &Arc<Limits>, budget: &Arc<Budget>) -> (Vec<Slot>, TooMuch) {
    let mut slots = Vec::new();
    loop {
        match limits.enter(budget) {
            Ok(slot) => slots.push(slot),
            Err(why) => return (slots, why),
        }
    }
}

#[test]
fn a_noisy_caller_leaves_room() {
    let settings = Settings { in_flight: 100, caller_in_flight: 1000, rate: None, held_bytes: 1 };
    let limits = Limits::new(settings);
    let callers = Callers::new(limits.clone());
    let (noisy, quiet) = (callers.budget(&user("noisy")), callers.budget(&user("quiet")));
    // Alone it may have everything.
    let (slots, why) = fill(&limits, &noisy);
    assert_eq!((slots.len(), why), (100, TooMuch::InFlight));
    drop(slots);
    assert_eq!(limits.in_flight.load(Ordering::Relaxed), 0);
    // Beside another one that is active, its share; the other gets its own.
    let first = limits.enter(&quiet).unwrap();
    let (of_noisy, why) = fill(&limits, &noisy);
    assert_eq!((of_noisy.len(), why), (50, TooMuch::InFlight));
    let (of_quiet, _) = fill(&limits, &quiet);
    assert_eq!(of_quiet.len(), 49);
    drop((first, of_noisy, of_quiet));
    assert_eq!((limits.in_flight.load(Ordering::Relaxed), limits.active.load(Ordering::Relaxed)), (0, 0));
}

#[test]
fn one_caller_has_its_own_limit() {
    let callers = limits(100, 3, 1);
    let budget = callers.budget(&user("a"));
    let (slots, why) = fill(&callers_limits(&callers), &budget);
    assert_eq!((slots.len(), why), (3, TooMuch::CallerInFlight));
}

fn callers_limits(callers: &Callers) -> Arc<Limits> {
    callers.limits().clone()
}

#[test]
fn rates_tell_when_to_come_back() {
    let rate = Rate { per_second: NonZeroU32::new(1).unwrap(), burst: NonZeroU32::new(2).unwrap() };
    let limits = Limits::new(Settings { in_flight: 9, caller_in_flight: 9, rate: Some(rate), held_bytes: 1 });
    let callers = Callers::new(limits.clone());
    let (a, b) = (callers.budget(&user("a")), callers.budget(&user("b")));
    drop(limits.enter(&a).unwrap());
    drop(limits.enter(&a).unwrap());
    let Err(TooMuch::CallerRate { retry }) = limits.enter(&a) else { panic!("the third in a second") };
    assert!(retry <= Duration::from_secs(1) && retry > Duration::ZERO, "{retry:?}");
    // Another one is not held back by it.
    drop(limits.enter(&b).unwrap());
}

#[test]
fn bytes_are_given_back() {
    let callers = limits(10, 10, 100);
    let limits = callers_limits(&callers);
    let (greedy, modest) = (callers.budget(&user("greedy")), callers.budget(&user("modest")));
    let (first, second) = (limits.enter(&greedy).unwrap(), limits.enter(&modest).unwrap());
    first.hold(50).unwrap();
    assert_eq!(first.hold(1), Err(TooMuch::HeldBytes), "more than half is held, and more than its share");
    second.hold(20).unwrap();
    assert_eq!(second.hold(100), Err(TooMuch::HeldBytes), "more than all may hold");
    drop(first);
    drop(second);
    assert_eq!(limits.held_bytes.load(Ordering::Relaxed), 0);
    limits.enter(&greedy).unwrap().hold(100).unwrap();
}

#[test]
fn idle_callers_are_forgotten() {
    let settings = Settings { in_flight: 9, caller_in_flight: 9, rate: None, held_bytes: 1 };
    let callers = Callers::with_most(Limits::new(settings), 2);
    let kept = callers.budget(&user("kept"));
    drop(callers.budget(&user("idle")));
    let new = callers.budget(&user("new"));
    assert_eq!(callers.count(), 2, "idle made room");
    assert!(Arc::ptr_eq(&kept, &callers.budget(&user("kept"))));
    // Full, and swept just now: those who come share one budget.
    let others = callers.budget(&user("x"));
    assert!(Arc::ptr_eq(&others, &callers.budget(&user("y"))));
    assert!(!Arc::ptr_eq(&others, &new));
}

#[test]
fn connections_are_counted_by_address() {
    let connections = Connections::new(4, 2);
    let address = |text: &str| Some(text.parse().unwrap());
    let a = connections.enter(address("10.0.0.1")).unwrap();
    let _b = connections.enter(address("::ffff:10.0.0.1")).unwrap();
    assert_eq!(connections.enter(address("10.0.0.1")).unwrap_err(), Full::Address);
    // One host has a whole network of 64 bits.
    let _c = connections.enter(address("2001:db8::1")).unwrap();
    let _d = connections.enter(address("2001:db8::2")).unwrap();
    assert_eq!(connections.enter(None).unwrap_err(), Full::Server);
    drop(a);
    assert_eq!(connections.enter(address("2001:db8::3")).unwrap_err(), Full::Address);
    let _local = connections.enter(None).unwrap();
    assert_eq!(connections.open(), 4);
}
