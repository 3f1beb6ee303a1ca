//! Work on large bodies: on threads for blocking work, and only on some of the cores at once. A sender of the
//! largest bodies would otherwise get as many threads as bodies fit into memory, and small deliveries one of
//! them.

use tokio::{sync::Semaphore, task::spawn_blocking};

/// The turns of large bodies. Whoever waits for one holds its body, so the memory for bodies bounds how many wait.
#[derive(Debug)]
pub(crate) struct LargeBodies(Semaphore);

impl LargeBodies {
    /// Turns on half of the cores, or on the only one.
    pub(crate) fn on(cores: usize) -> Self {
        Self(Semaphore::new((cores / 2).max(1)))
    }

    /// Does work in its turn; `None` if it panics.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _turn = self.0.acquire().await.ok()?;
        spawn_blocking(work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn large_bodies_leave_cores_to_small_ones() {
        for (cores, at_once) in [(1, 1), (2, 1), (3, 1), (8, 4)] {
            let bodies = LargeBodies::on(cores);
            let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let works = (0..32).map(|_| {
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                bodies.work(move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    for _ in 0..1000 {
                        std::thread::yield_now();
                    }
                    running.fetch_sub(1, Ordering::SeqCst);
                })
            });
            let done = join_all(works).await;
            assert!(done.iter().all(Option::is_some));
            let most = most.load(Ordering::SeqCst);
            assert!((1..=at_once).contains(&most), "{most} on {cores} cores");
        }
    }

    #[tokio::test]
    async fn a_panic_gives_its_turn_back() {
        let bodies = LargeBodies::on(1);
        assert_eq!(bodies.work(|| panic!("on purpose")).await, None::<()>);
        assert_eq!(bodies.work(|| 7).await, Some(7));
    }
}
