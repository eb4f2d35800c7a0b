//! The floor answers by every way there is to reach it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use gavel_loadtest::echo::{Blob, EchoStream};
use gavel_loadtest::{Load, Pace, Program, run_streams};
use prost::Message as _;

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn answers_of_the_size_that_is_asked_for() {
    for mode in ["multi-thread", "per-core"] {
        let folder = tempfile::tempdir().unwrap();
        let socket = format!("unix:{}", folder.path().join("echo.sock").display());
        let address = format!("127.0.0.1:{}", free_port());
        let arguments = [
            "echo".to_owned(),
            format!("--listen={address}"),
            format!("--listen={socket}"),
            format!("--runtime={mode}"),
        ];
        let program = Path::new(env!("CARGO_BIN_EXE_gavel-loadtest"));
        let mut echo = Program::start(program, &arguments, &folder.path().join("log")).unwrap();
        for address in [address, socket] {
            let client = echo.echo(&address, 2).await.unwrap();
            for number in 0..10 {
                let answer = client.unary(number, Blob::of_size(5000, 300)).await.unwrap();
                assert_eq!(answer.encoded_len(), 300, "{mode} {address}");
            }
            let dialogue = EchoStream { client, blob: Blob::of_size(70, 48) };
            let duration = Duration::from_millis(100);
            for pace in [Pace::Closed { workers: 10 }, Pace::Open { per_second: 1000.0, most_in_flight: 10 }]
            {
                let results = run_streams(Load { pace, duration }, 2, dialogue.clone()).await;
                assert!(results.answered() >= 10 && results.failed() == 0, "{mode} {address}: {results}");
            }
        }
        echo.stop().await.unwrap();
    }
}
