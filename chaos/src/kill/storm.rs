//! The weather: starts the broker and the clients, kills, starts again, lets everything drain.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::Storm;
use crate::broker::{Broker, Place};
use crate::history::{Event, History, What};
use crate::seed::Seed;
use crate::workload::drain::{drain, read_retained, until};
use crate::workload::recorder::{Recorder, Signals};
use crate::workload::{Doors, cast};

/// Clients have this long to subscribe before the storm.
const SETTLE_WAIT: Duration = Duration::from_secs(120);
/// Subscribers are drained when nothing has come for this long.
const QUIET: Duration = Duration::from_secs(2);

/// What the weather was like.
#[derive(Default)]
pub(super) struct Weather {
    pub(super) kills_while_starting: u32,
    pub(super) slowest_start: Duration,
    pub(super) failures: Vec<String>,
}

/// Lets the storm rage over a broker at `place`.
pub(super) fn rage(storm: &Storm, place: &Place) -> io::Result<(History, Weather)> {
    let mut seed = Seed::new(storm.seed);
    let (mut history, actors) = cast::for_kill(storm.seed, storm.rate, &mut seed);
    let signals = Signals::new();
    let mut recorder = Recorder::new(&signals);
    let mut weather = Weather::default();
    let mut broker = storm.recipe.start(place)?;
    broker.wait_until_ready(place, storm.patience)?;
    let expected = actors.len() as u64;
    let doors = Doors::new(vec![place.address()]);
    let threads: Vec<_> = actors
        .into_iter()
        .map(|actor| {
            let (doors, recorder) = (doors.clone(), Recorder::new(&signals));
            thread::spawn(move || actor.work(&doors, recorder))
        })
        .collect();
    if !until(SETTLE_WAIT, || signals.settled.load(Ordering::SeqCst) == expected) {
        weather.failures.push("not every client could connect and subscribe before the storm".to_owned());
    } else {
        broker = kills(storm, place, broker, (&mut seed, &mut recorder, &mut weather))?;
    }
    signals.publish.store(false, Ordering::SeqCst);
    if weather.failures.is_empty() {
        weather.failures.extend(drain(&signals, QUIET));
    }
    if weather.failures.is_empty() {
        weather.failures.extend(read_retained(place.address(), &mut recorder).err());
    }
    signals.stop.store(true, Ordering::SeqCst);
    let mut events = recorder.events;
    for thread in threads {
        events.extend(thread.join().expect("a client does not panic"));
    }
    broker.kill()?;
    events.sort_by_key(|event: &Event| event.at);
    history.events = events;
    Ok((history, weather))
}

/// Kills and starts as often as asked. A broker that does not come back ends the storm.
fn kills(
    storm: &Storm,
    place: &Place,
    mut broker: Broker,
    (seed, recorder, weather): (&mut Seed, &mut Recorder, &mut Weather),
) -> io::Result<Broker> {
    let signals = Arc::clone(&recorder.signals);
    signals.publish.store(true, Ordering::SeqCst);
    signals.wander.store(true, Ordering::SeqCst);
    let longest = storm.round.as_millis() as u64;
    if storm.rounds == 0 {
        thread::sleep(storm.round);
    }
    let mut ready = true;
    for round in 1..=storm.rounds {
        // A broker that serves lives up to a whole round; one that has just been started may not live that long.
        let life = Duration::from_millis(if ready { seed.below(longest) } else { seed.below(60) });
        thread::sleep(life);
        if let Some(status) = broker.exited()? {
            weather.failures.push(format!(
                "the broker ended by itself before kill {round} ({status}); its last words:\n{}",
                place.last_words()
            ));
            break;
        }
        recorder.record(What::Killed(round));
        broker.kill()?;
        weather.kills_while_starting += u32::from(!ready);
        let start = Instant::now();
        broker = storm.recipe.start(place)?;
        // One start in four is not waited for: the next kill finds the broker while it recovers.
        ready = round == storm.rounds || seed.below(4) != 0;
        if ready {
            if let Err(error) = broker.wait_until_ready(place, storm.patience) {
                weather.failures.push(format!("after kill {round}: {error}"));
                break;
            }
            weather.slowest_start = weather.slowest_start.max(start.elapsed());
        }
    }
    signals.wander.store(false, Ordering::SeqCst);
    Ok(broker)
}
