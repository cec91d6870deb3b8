//! When a batch begins beside another one. Time stands still, and is put forward where nothing else is left to do.

use super::*;
use countersign_domain::ids::UserRef;
use tokio::sync::{Semaphore, mpsc};

const PATIENCE: Duration = Duration::from_millis(5);

struct Numbered(u32);

impl Job for Numbered {
    fn subject(&self) -> Option<&UserRef> {
        None
    }
}

/// Tells of each batch and ends it when it is let.
struct Told {
    batches: mpsc::UnboundedSender<Vec<u32>>,
    ends: Semaphore,
}

#[async_trait]
impl Batched for Told {
    type Job = Numbered;

    async fn run(self: Arc<Self>, batch: Vec<Numbered>) {
        let numbers: Vec<_> = batch.into_iter().map(|job| job.0).collect();
        let broken = numbers.contains(&13);
        self.batches.send(numbers).unwrap();
        self.ends.acquire().await.unwrap().forget();
        assert!(!broken, "as it was told to");
    }
}

struct Stage {
    coalescer: Coalescer<Numbered>,
    work: Arc<Told>,
    batches: mpsc::UnboundedReceiver<Vec<u32>>,
}

impl Stage {
    fn new(patience: Duration) -> Self {
        let (sender, batches) = mpsc::unbounded_channel();
        let work = Arc::new(Told { batches: sender, ends: Semaphore::new(0) });
        let limits = Limits { workers: 2, batch: 10, waiting: 100, patience, few: 4, many: 8 };
        Self { coalescer: Coalescer::start("test", limits, Arc::clone(&work)), work, batches }
    }

    fn push(&self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.coalescer.push(Numbered(number)).unwrap();
        }
    }

    /// The next batch, and how long it took to begin.
    async fn next(&mut self) -> (Vec<u32>, Duration) {
        let asked = Instant::now();
        let batch = self.batches.recv().await.unwrap();
        (batch, asked.elapsed())
    }

    fn end_one(&self) {
        self.work.ends.add_permits(1);
    }
}

/// Nobody waits while nothing is under way.
#[tokio::test(start_paused = true)]
async fn the_first_goes_at_once() {
    let mut stage = Stage::new(PATIENCE);
    stage.push([1]);
    assert_eq!(stage.next().await, (vec![1], Duration::ZERO));
}

/// What comes meanwhile goes together, as soon as the one under way has ended, and in no part before.
#[tokio::test(start_paused = true)]
async fn a_batch_gathers_until_the_one_before_has_ended() {
    let mut stage = Stage::new(PATIENCE);
    stage.push([1]);
    assert_eq!(stage.next().await.0, [1]);
    stage.push([2]);
    let early = tokio::time::timeout(PATIENCE / 2, stage.next()).await;
    assert!(early.is_err(), "{early:?}");
    stage.push([3]);
    stage.end_one();
    assert_eq!(stage.next().await, (vec![2, 3], Duration::ZERO));
}

/// As many as are enough wait for nothing, and nothing is left over by them.
#[tokio::test(start_paused = true)]
async fn enough_of_them_go_beside_the_one_under_way() {
    let mut stage = Stage::new(PATIENCE);
    stage.push([1]);
    assert_eq!(stage.next().await.0, [1]);
    stage.push([2, 3, 4]);
    let early = tokio::time::timeout(PATIENCE / 2, stage.next()).await;
    assert!(early.is_err(), "{early:?}");
    stage.push([5]);
    assert_eq!(stage.next().await, (vec![2, 3, 4, 5], Duration::ZERO));
    // Both workers have one: what comes now waits for either.
    stage.push([6, 7, 8, 9, 10]);
    let early = tokio::time::timeout(2 * PATIENCE, stage.next()).await;
    assert!(early.is_err(), "{early:?}");
    stage.end_one();
    assert_eq!(stage.next().await, (vec![6, 7, 8, 9, 10], Duration::ZERO));
}

/// Half of those who are about are enough: the others are under way, and find a worker when they are back.
#[tokio::test(start_paused = true)]
async fn two_batches_come_to_be_of_one_size() {
    let mut stage = Stage::new(PATIENCE);
    stage.push(1..=10);
    assert_eq!(stage.next().await.0.len(), 10);
    stage.push(11..=15);
    let early = tokio::time::timeout(PATIENCE / 2, stage.next()).await;
    assert!(early.is_err(), "half of ten and one are six: {early:?}");
    stage.push([16]);
    assert_eq!(stage.next().await, ((11..=16).collect(), Duration::ZERO));
    // Ten and six are sixteen, and eight of them enough.
    stage.end_one();
    stage.push(17..=23);
    let early = tokio::time::timeout(PATIENCE / 2, stage.next()).await;
    assert!(early.is_err(), "{early:?}");
    stage.push([24]);
    assert_eq!(stage.next().await, ((17..=24).collect(), Duration::ZERO));
}

/// One that takes long, because of a slow disk or a lock, is waited for no longer than that.
#[tokio::test(start_paused = true)]
async fn a_slow_batch_does_not_hold_up_the_next() {
    let mut stage = Stage::new(PATIENCE);
    stage.push([1]);
    assert_eq!(stage.next().await.0, [1]);
    stage.push([2, 3]);
    let (batch, waited) = stage.next().await;
    assert_eq!(batch, [2, 3]);
    // Timers have milliseconds, and end at the next one.
    assert!(waited >= PATIENCE && waited <= PATIENCE + Duration::from_millis(1), "{waited:?}");
}

/// Loads flush nothing and hold nothing: as many at a time as there are workers.
#[tokio::test(start_paused = true)]
async fn without_patience_batches_go_side_by_side() {
    let mut stage = Stage::new(Duration::ZERO);
    // Between two milliseconds, where a timer for the present moment would wait for the next.
    tokio::time::advance(Duration::from_micros(300)).await;
    stage.push([1]);
    assert_eq!(stage.next().await.0, [1]);
    stage.push([2]);
    assert_eq!(stage.next().await, (vec![2], Duration::ZERO));
}

/// A batch that panics has ended like any other.
#[tokio::test(start_paused = true)]
async fn a_panic_ends_a_batch() {
    let mut stage = Stage::new(PATIENCE);
    stage.push([13]);
    assert_eq!(stage.next().await.0, [13]);
    stage.push([2]);
    stage.end_one();
    assert_eq!(stage.next().await, (vec![2], Duration::ZERO));
}
