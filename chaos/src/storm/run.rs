//! The course of a storm: everybody comes, faults strike by turns, everything heals, everything is checked.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::scene::{Chronicle, Scene};
use super::schedule::{Round, Schedule};
use super::watch::{self, Watched};
use super::{Storm, autopsy};
use crate::fleet::Fleet;
use crate::history::{Event, History};
use crate::report::{Report, Told, Turn};
use crate::seed::Seed;
use crate::workload::drain::{drain, read_retained, until};
use crate::workload::recorder::{Pulse, Recorder, Signals};
use crate::workload::{Actor, cast};

/// Clients have this long to subscribe before the storm.
const SETTLE_WAIT: Duration = Duration::from_secs(60);
/// Subscribers are drained when nothing has come for this long.
const QUIET: Duration = Duration::from_secs(3);
/// Pause between two lines of progress while faults last.
const TELL: Duration = Duration::from_secs(5);
/// For a node to stop at the end.
const STOP: Duration = Duration::from_secs(20);

/// One that is to do something soon after all faults have healed.
struct Steady {
    name: String,
    pulse: Arc<Pulse>,
}

/// What is known while a storm rages.
struct Course<'a> {
    scene: &'a Scene<'a>,
    /// How many clients the storm waits for.
    settling: u64,
    steady: Vec<Steady>,
    turns: Vec<Turn>,
    failures: Vec<String>,
    progress: &'a mut dyn Write,
}

/// Runs a storm from the first start to the verdict.
pub(super) fn run(storm: &Storm, progress: &mut dyn Write) -> io::Result<(Report, History)> {
    let mut seed = Seed::new(storm.seed);
    let (mut history, actors) = cast::for_storm(storm.seed, storm.rate, &mut seed);
    history.nodes = storm.fleet.founders() as u16;
    say(progress, &format!("{} nodes, seed {}: all have to serve first", history.nodes, storm.seed))?;
    storm.fleet.settle(storm.patience)?;
    let signals = Signals::new();
    let scene = Scene::new(&storm.fleet, &signals, storm.patience);
    let settling = actors.iter().filter(|actor| actor.settles()).count() as u64;
    let mut course = Course {
        scene: &scene,
        settling,
        steady: Vec::new(),
        turns: Vec::new(),
        failures: Vec::new(),
        progress,
    };
    for (name, why) in &storm.not_tried {
        say(course.progress, &format!("not tried: {name}, because {why}"))?;
        if storm.strict {
            course.failures.push(format!("{name} was asked for and could not be tried: {why}"));
        }
    }
    let schedule = Schedule::new(storm.nemeses.clone(), seed.branch());
    let mut recorder = Recorder::new(&signals);
    let (events, watched) = thread::scope(|scope| {
        let watchers: Vec<_> = (0..storm.fleet.nodes().len())
            .map(|index| {
                let scene = &scene;
                scope.spawn(move || watch::watch(scene, index))
            })
            .collect();
        let clients = enter(scope, &scene, actors, &mut course.steady);
        let raged = course.rage(storm, schedule, &mut recorder);
        signals.stop.store(true, Ordering::SeqCst);
        let events: Vec<Event> = clients.into_iter().flat_map(|client| joined(client.join())).collect();
        let watched: Vec<Watched> = watchers.into_iter().map(|watcher| joined(watcher.join())).collect();
        raged.map(|()| (events, watched))
    })?;
    let seconds = scene.now().as_secs_f64();
    let (mut failures, turns) = (course.failures, course.turns);
    history.cut_short = scene.is_called_off();
    history.events = events;
    history.events.extend(recorder.events);
    for (node, why) in (1..).zip(&watched).filter_map(|(node, watched)| Some((node, watched.blind.as_ref()?)))
    {
        failures.push(format!("node {node} never said how the cluster is: {why}"));
    }
    let rss_bytes_max = watched.iter().map(|watched| watched.rss_bytes_max).collect();
    history.events.extend(watched.into_iter().flat_map(|watched| watched.events));
    if storm.fleet.directory().is_some() {
        say(progress, "the nodes stop, and what lies on their disks is compared")?;
    }
    open_up(&storm.fleet, scene.now(), &mut history, &mut failures);
    let Chronicle { events, spans } = scene.close();
    history.events.extend(events);
    history.events.sort_by_key(|event| event.at);
    say(progress, &format!("{} events are checked", history.events.len()))?;
    let told = Told {
        command: storm.command.clone(),
        seed: storm.seed,
        seconds,
        failures,
        not_tried: storm.not_tried.clone(),
        turns,
        spans: spans.iter().map(serde_json::to_value).collect::<Result<_, _>>()?,
        rss_bytes_max,
    };
    Ok((Report::new(told, &history), history))
}

/// All clients come.
fn enter<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    scene: &Scene<'_>,
    actors: Vec<Actor>,
    steady: &mut Vec<Steady>,
) -> Vec<thread::ScopedJoinHandle<'scope, Vec<Event>>> {
    let mut clients = Vec::new();
    for actor in actors {
        let (doors, recorder) = (scene.doors.clone(), Recorder::new(&scene.signals));
        if actor.is_steady() {
            steady.push(Steady { name: actor.name.clone(), pulse: Arc::clone(&recorder.pulse) });
        }
        clients.push(scope.spawn(move || actor.work(&doors, recorder)));
    }
    clients
}

impl Course<'_> {
    fn say(&mut self, words: &str) -> io::Result<()> {
        let now = self.scene.now().as_secs_f64();
        say(self.progress, &format!("{now:7.1} s  {words}"))
    }

    /// From the first client to the last delivery.
    fn rage(&mut self, storm: &Storm, mut schedule: Schedule, recorder: &mut Recorder) -> io::Result<()> {
        let signals = Arc::clone(&self.scene.signals);
        let expected = self.settling;
        if !until(SETTLE_WAIT, || signals.settled.load(Ordering::SeqCst) >= expected) {
            let here = signals.settled.load(Ordering::SeqCst);
            self.failures.push(format!("{here} of {expected} clients could connect before the storm"));
            self.scene.call_off();
            return Ok(());
        }
        signals.publish.store(true, Ordering::SeqCst);
        signals.wander.store(true, Ordering::SeqCst);
        let end = Instant::now() + storm.duration;
        while Instant::now() < end && !self.scene.is_called_off() {
            match schedule.next() {
                Some(round) => self.turn(&round)?,
                None => self.scene.hold(end - Instant::now()),
            }
        }
        self.say("calm: everything is to arrive")?;
        if !self.scene.is_called_off() {
            self.failures.extend(drain(&signals, QUIET));
            for node in self.scene.fleet.members() {
                let door = self.scene.node(node).mqtt();
                self.failures.extend(read_retained(door, recorder).err());
            }
        }
        Ok(())
    }

    /// Some faults, until everybody is served again.
    fn turn(&mut self, round: &Round) -> io::Result<()> {
        let names: Vec<&str> = round.nemeses.iter().map(|nemesis| nemesis.name).collect();
        let names = names.join(" + ");
        let from = self.scene.now();
        self.say(&format!("{names}, {:.1} s", round.hold.as_secs_f64()))?;
        self.strike(round)?;
        let healed = self.scene.now();
        let mut turn =
            Turn { names, from: from.as_secs_f64(), healed: healed.as_secs_f64(), recovered: None };
        if !self.scene.is_called_off() {
            match self.recover(healed) {
                Ok(took) => turn.recovered = Some((healed + took).as_secs_f64()),
                Err(why) => {
                    self.failures.push(format!("after {}: {why}", turn.names));
                    self.scene.call_off();
                }
            }
        }
        let line = match turn.recovered {
            Some(at) => format!("everybody is served, {:.1} s after it healed", at - turn.healed),
            None => self.failures.last().cloned().unwrap_or_default(),
        };
        self.turns.push(turn);
        self.say(&line)?;
        self.scene.hold(round.gap);
        self.look();
        Ok(())
    }

    /// Lets faults strike side by side, and tells how it goes.
    fn strike(&mut self, round: &Round) -> io::Result<()> {
        let (scene, hold) = (self.scene, round.hold);
        let mut seed = round.seed.clone();
        thread::scope(|scope| {
            let strikes: Vec<_> = round
                .nemeses
                .iter()
                .map(|nemesis| {
                    let (strike, mut seed) = (nemesis.strike, seed.branch());
                    (nemesis.name, scope.spawn(move || strike(scene, &mut seed, hold)))
                })
                .collect();
            let mut told = Instant::now();
            while strikes.iter().any(|(_, strike)| !strike.is_finished()) {
                self.look();
                if told.elapsed() > TELL {
                    told = Instant::now();
                    self.say(&self.pace())?;
                }
                thread::sleep(Duration::from_millis(20));
            }
            for (name, strike) in strikes {
                if let Err(error) = joined(strike.join()) {
                    self.failures.push(format!("{name}: {error}"));
                    scene.call_off();
                }
            }
            Ok(())
        })
    }

    fn pace(&self) -> String {
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let Signals { sent, acked, delivered, .. } = &*self.scene.signals;
        format!("{} sent, {} acknowledged, {} delivered so far", of(sent), of(acked), of(delivered))
    }

    /// Notices nodes that ended by themselves.
    fn look(&mut self) {
        for (index, node) in self.scene.fleet.nodes().iter().enumerate() {
            if let Some(status) = node.ended() {
                let words = node.last_words();
                let node = index + 1;
                self.failures
                    .push(format!("node {node} ended by itself ({status}); its last words:\n{words}"));
                self.scene.call_off();
            }
        }
    }

    /// Until all nodes serve and everybody who stays has got something done since.
    fn recover(&mut self, healed: Duration) -> Result<Duration, String> {
        let patience = self.scene.patience;
        self.scene.fleet.settle(patience).map_err(|error| error.to_string())?;
        let idle = || self.steady.iter().filter(|client| client.pulse.last() < healed);
        if until(patience.saturating_sub(self.scene.now() - healed), || idle().next().is_none()) {
            return Ok(self.scene.now() - healed);
        }
        let names: Vec<&str> = idle().map(|client| client.name.as_str()).collect();
        Err(format!("{patience:?} after everything has healed, nothing was done for {}", names.join(", ")))
    }
}

/// Stops the nodes, and reads what is on their disks.
fn open_up(fleet: &Fleet, at: Duration, history: &mut History, failures: &mut Vec<String>) {
    for (index, node) in fleet.nodes().iter().enumerate() {
        let number = index + 1;
        if node.binary().is_some() {
            failures.extend(node.stop(STOP).err().map(|error| format!("node {number} at the end: {error}")));
        }
        for data in node.data() {
            match autopsy::read(&data, index as u16, at) {
                Ok(events) => history.events.extend(events),
                Err(error) => failures.push(format!("the log of node {number}: {error}")),
            }
        }
    }
}

fn say(progress: &mut dyn Write, words: &str) -> io::Result<()> {
    writeln!(progress, "{words}")
}

fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
