//! The floor answers by every way there is to reach it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use gavel_loadtest::Program;
use gavel_loadtest::echo::Blob;
use prost::Message as _;
use tokio_stream::StreamExt as _;

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
            let questions = tokio_stream::iter((0..1000).map(|_| Blob::of_size(70, 48)));
            let answers = client.stream(0, questions).await.unwrap();
            let sizes: Vec<usize> = answers.map(|answer| answer.unwrap().encoded_len()).collect().await;
            assert!(sizes.len() == 1000 && sizes.iter().all(|size| *size == 48), "{mode} {address}");
        }
        echo.stop().await.unwrap();
    }
}
