//! The decision log of a server that runs.

use gavel_proto::v1 as pb;
use gavel_server::config::{DecisionLogMode, DecisionLogTarget};
use serde_json::Value;

use crate::support::{ADMISSION, FLOWS, POD, Server, admission, flow};

#[tokio::test]
async fn decisions_are_found_by_the_id_in_their_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.json");
    let server = Server::start_with(&[("flows.yaml", FLOWS), ("psp.yaml", ADMISSION)], |config| {
        config.telemetry.decision_log = DecisionLogMode::All;
        config.telemetry.decision_log_to = DecisionLogTarget::File(path.clone());
    })
    .await;
    let mut client = server.client().await;
    let denied = client.check_flow(flow("stranger", "web", 80)).await.unwrap().into_inner();
    let admitted = client.admit(admission(POD)).await.unwrap().into_inner();
    client.authorize(pb::AuthorizeRequest::default()).await.unwrap_err();
    drop(client);
    server.stop().await;
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = |id: &str| lines.iter().find(|line| line["decision_id"] == id).unwrap();
    let told = found(&denied.decision_id);
    assert_eq!((&told["rpc"], &told["verdict"]), (&"CheckFlow".into(), &"deny".into()), "{told}");
    assert_eq!(told["policies"][0]["name"], "web", "{told}");
    assert_eq!(told["question"]["source"]["pod"]["name"], "stranger", "{told}");
    assert_eq!(told["caller"]["authenticated_by"], "nothing", "{told}");
    let told = found(&admitted.decision_id);
    assert_eq!((&told["verdict"], &told["policies"][0]), (&"allow".into(), &"nonroot".into()), "{told}");
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["status"], "InvalidArgument", "{}", lines[2]);
}

#[tokio::test]
async fn without_a_log_there_are_no_ids() {
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let answer = server.client().await.check_flow(flow("friend", "web", 80)).await.unwrap().into_inner();
    assert_eq!(answer.decision_id, "");
    server.stop().await;
}
