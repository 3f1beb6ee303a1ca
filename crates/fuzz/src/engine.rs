//! The engine that needs no compiler flags: all seeds, then mutations of them, without coverage.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use crate::{Target, random::XorShift};

/// Longest input that mutations make, in bytes.
const MAX_INPUT_BYTES: usize = 4096;
/// Maximum number of mutation steps applied to one input.
const MAX_STEPS: u64 = 6;

/// An input that violated a property.
#[derive(Debug)]
pub struct FuzzFailure {
    /// The input.
    pub input: Vec<u8>,
    /// The message of the target's panic.
    pub message: String,
}

/// The extent of a run.
#[derive(Clone, Copy, Debug)]
pub enum FuzzBudget {
    /// This number of mutations: the same mutations for the same seed.
    Inputs(u64),
    /// This much time.
    Time(Duration),
}

/// Runs the seeds, then mutations of them; gives the number of inputs.
///
/// # Errors
/// The first input that violates a property.
pub fn run(
    target: Target,
    seeds: &[Vec<u8>],
    budget: FuzzBudget,
    random_seed: u64,
) -> Result<u64, FuzzFailure> {
    let started = Instant::now();
    for seed in seeds {
        check(target, seed)?;
    }
    let mut mutator = Mutator::new(seeds, random_seed);
    let mut inputs = 0;
    loop {
        match budget {
            FuzzBudget::Inputs(most) if inputs >= most => return Ok(inputs),
            FuzzBudget::Time(most) if inputs % 64 == 0 && started.elapsed() >= most => {
                return Ok(inputs);
            }
            _ => {}
        }
        check(target, &mutator.next_input())?;
        inputs += 1;
    }
}

fn check(target: Target, input: &[u8]) -> Result<(), FuzzFailure> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| FuzzFailure {
        input: input.to_vec(),
        message: words(panic.as_ref()),
    })
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}

/// The tokens of `tokens.dict`, which libFuzzer reads too: one `"word"` per line.
pub(crate) fn tokens() -> impl Iterator<Item = &'static [u8]> {
    let lines = include_str!("../tokens.dict").lines();
    let words = lines.filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    words.map(str::as_bytes)
}

struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
    tokens: Vec<&'static [u8]>,
    chance: XorShift,
}

impl<'a> Mutator<'a> {
    fn new(seeds: &'a [Vec<u8>], random_seed: u64) -> Self {
        Self {
            seeds,
            tokens: tokens().collect(),
            chance: XorShift::new(random_seed),
        }
    }

    fn random(&mut self) -> u64 {
        self.chance.random()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.chance.below(bound)
    }

    fn byte(&mut self) -> u8 {
        const INTERESTING: &[u8] = b"\0\n\r \"\\{}[]:,.*>=?0129-_\xff\xef\x7f\x80";
        match self.random() % 2 {
            0 => INTERESTING[self.below(INTERESTING.len())],
            _ => self.random().to_le_bytes()[0],
        }
    }

    fn next_input(&mut self) -> Vec<u8> {
        let chosen = self.below(self.seeds.len());
        let mut input = self.seeds.get(chosen).cloned().unwrap_or_default();
        for _ in 0..=self.random() % MAX_STEPS {
            self.mutate(&mut input);
        }
        input.truncate(MAX_INPUT_BYTES);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(24)).min(input.len());
        match self.random() % 7 {
            0 => drop(input.drain(at..end)),
            1 => {
                let part = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, part);
            }
            2 => {
                let chosen = self.below(self.tokens.len());
                let token = self.tokens[chosen];
                let over = if self.random().is_multiple_of(2) {
                    at
                } else {
                    end
                };
                input.splice(at..over, token.iter().copied());
            }
            3 => {
                let other = self.below(self.seeds.len());
                let other = self.seeds.get(other).cloned().unwrap_or_default();
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            4 => {
                let byte = self.byte();
                input.insert(at, byte);
            }
            _ => {
                let byte = self.byte();
                if let Some(old) = input.get_mut(at) {
                    *old = byte;
                }
            }
        }
    }
}
