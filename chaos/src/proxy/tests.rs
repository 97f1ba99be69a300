//! Datagrams between two sockets through a proxy.

use std::time::Duration;

use super::*;

struct Pair {
    sockets: [UdpSocket; 2],
    proxy: Proxy,
}

impl Pair {
    fn new() -> Pair {
        let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sockets = [socket(), socket()];
        let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let proxy = Proxy::start(&addresses, &mut Seed::new(1)).unwrap();
        Pair { sockets, proxy }
    }

    /// What a socket gets within the time, and from whom.
    fn gets(&self, at: usize, within: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        let mut bytes = [0; 100];
        self.sockets[at].set_read_timeout(Some(within)).unwrap();
        let (length, from) = self.sockets[at].recv_from(&mut bytes).ok()?;
        Some((bytes[..length].to_vec(), from))
    }
}

const SOON: Duration = Duration::from_secs(10);
const NEVER: Duration = Duration::from_millis(100);

#[test]
fn a_datagram_goes_through_and_its_answer_comes_from_the_front_that_was_called() {
    let pair = Pair::new();
    let front = pair.proxy.fronts()[1];
    pair.sockets[0].send_to(b"call", front).unwrap();
    let (call, from) = pair.gets(1, SOON).unwrap();
    assert_eq!(call, b"call");
    pair.sockets[1].send_to(b"answer", from).unwrap();
    assert_eq!(pair.gets(0, SOON), Some((b"answer".to_vec(), front)));
    assert_eq!((pair.proxy.counts(0, 1), pair.proxy.counts(1, 0)), ((1, 0), (1, 0)));
}

#[test]
fn a_one_way_cut_stops_one_way_on_both_sockets_of_a_pair() {
    let pair = Pair::new();
    let (front_0, front_1) = (pair.proxy.fronts()[0], pair.proxy.fronts()[1]);
    pair.sockets[0].send_to(b"call", front_1).unwrap();
    let (_, back) = pair.gets(1, SOON).unwrap();
    let cut = pair.proxy.lay(1, 0, Rule::CUT);
    pair.sockets[1].send_to(b"answer", back).unwrap();
    pair.sockets[1].send_to(b"own call", front_0).unwrap();
    assert_eq!(pair.gets(0, NEVER), None);
    pair.sockets[0].send_to(b"again", front_1).unwrap();
    assert_eq!(pair.gets(1, SOON).unwrap().0, b"again");
    pair.proxy.lift(cut);
    pair.sockets[1].send_to(b"healed", back).unwrap();
    assert_eq!(pair.gets(0, SOON).unwrap().0, b"healed");
}

#[test]
fn what_waits_in_a_slow_lane_is_lost_when_it_is_cut() {
    let pair = Pair::new();
    pair.proxy.lay(0, 1, Rule { delay: Duration::from_millis(300), ..Rule::default() });
    pair.sockets[0].send_to(b"late", pair.proxy.fronts()[1]).unwrap();
    while pair.proxy.counts(0, 1).0 == 0 {
        std::thread::yield_now();
    }
    pair.proxy.lay(0, 1, Rule::CUT);
    assert_eq!(pair.gets(1, Duration::from_millis(500)), None);
}
