//! The queue of packets that are refused whatever policies say: it is there so that they are counted, and told of.

use std::sync::Arc;

use nfq::Message;

use super::{Socket, TOGETHER};
use crate::flow_log::{FlowLog, Record};
use crate::metrics::{Metrics, Refused};
use crate::packet;

/// The hook that a packet came from (`linux/netfilter.h`, `NF_INET_PRE_ROUTING`).
const PREROUTING: u8 = 0;

/// Refuses all that comes, for ever.
///
/// # Errors
/// When the queue is lost.
pub(crate) async fn refuse(mut socket: Socket, metrics: Arc<Metrics>, log: FlowLog) -> anyhow::Result<()> {
    socket.register()?;
    let mut packets = Vec::with_capacity(TOGETHER);
    loop {
        socket.receive(&mut packets, TOGETHER).await?;
        for packet in packets.drain(..) {
            let why = why(&packet);
            metrics.refused(why);
            log.write(|| Record::refused(packet::read(packet.get_payload()).ok(), why));
            socket.settle(packet, false)?;
        }
    }
}

/// Only what came by an interface where its source is not is sent here before it is routed.
fn why(packet: &Message) -> Refused {
    if packet.get_hook() == PREROUTING { Refused::Spoofed } else { Refused::Invalid }
}
