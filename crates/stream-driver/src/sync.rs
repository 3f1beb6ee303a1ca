//! The locks, atomics and wakers of the hand-over between threads.
//!
//! Everything that takes part in the hand-over between publishers and reactors uses them from here, so
//! that the feature `shuttle` can run all of it under a scheduler that tries interleavings. The
//! scheduler does not model memory orders: it treats every access as sequentially consistent.

#[cfg(not(feature = "shuttle"))]
mod real {
    pub use futures_util::task::AtomicWaker;
    pub use parking_lot::{Mutex, RwLock};
    pub use std::{
        sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize},
        thread::Builder,
    };
}
#[cfg(not(feature = "shuttle"))]
pub use real::*;

#[cfg(feature = "shuttle")]
mod modelled {
    use std::{sync::PoisonError, task::Waker};

    pub use shuttle::{
        sync::{
            MutexGuard, RwLockReadGuard, RwLockWriteGuard,
            atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize},
        },
        thread::Builder,
    };

    /// A lock without poisoning, as `parking_lot` has it.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// Creates a lock around a value.
        pub const fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        /// Waits for the lock.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// A lock without poisoning, as `parking_lot` has it.
    #[derive(Debug, Default)]
    pub struct RwLock<T>(shuttle::sync::RwLock<T>);

    impl<T> RwLock<T> {
        /// Creates a lock around a value.
        pub const fn new(value: T) -> Self {
            Self(shuttle::sync::RwLock::new(value))
        }

        /// Waits for the lock, shared with other readers.
        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        /// Waits for the lock, exclusively.
        pub fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Replaces the one of `futures-util`, which has no lock and does not run under the scheduler. It
    /// gives the same guarantee and no more: a wake-up takes the waker out, so another one before the
    /// next `register` has no effect; a wake-up during `register` counts as one after it, because there
    /// the original lets the registering task wake itself.
    #[derive(Debug, Default)]
    pub struct AtomicWaker(Mutex<Option<Waker>>);

    impl AtomicWaker {
        /// Creates one without a waker.
        pub const fn new() -> Self {
            Self(Mutex::new(None))
        }

        /// Sets the waker that the next [`AtomicWaker::wake`] wakes.
        pub fn register(&self, waker: &Waker) {
            *self.0.lock() = Some(waker.clone());
        }

        /// Wakes the waker that was registered last, once.
        pub fn wake(&self) {
            let waker = self.0.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}
#[cfg(feature = "shuttle")]
pub use modelled::*;
