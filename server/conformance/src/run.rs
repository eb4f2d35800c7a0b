//! Runs cases, several at a time, and tells which differ.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cases::Case;
use crate::compare::differences;
use crate::decision_point::DecisionPoint;
use crate::question::Question;

/// What came of some cases.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Cases whose every answer is right.
    pub passed: usize,
    /// What is wrong with the others.
    pub failures: Vec<String>,
}

/// Asks every case.
pub fn run(cases: &[Case], asked: &dyn DecisionPoint) -> Outcome {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(failure) = failure(case, asked)
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(failure);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap_or_default();
    failures.sort();
    Outcome { passed: cases.len() - failures.len(), failures }
}

/// What is wrong with the answers to a case.
fn failure(case: &Case, asked: &dyn DecisionPoint) -> Option<String> {
    let questions: Vec<&Question> = case.questions.iter().map(|(question, _)| question).collect();
    let answers = match asked.ask(&case.objects, &questions) {
        Ok(answers) if answers.len() == questions.len() => answers,
        Ok(answers) => return Some(format!("{}: {} answers", case.id, answers.len())),
        Err(error) => return Some(format!("{} ({}): {error:#}", case.id, asked.name())),
    };
    let mut wrong = String::new();
    for ((question, expected), answer) in case.questions.iter().zip(&answers) {
        for difference in differences(expected, answer) {
            wrong.push_str(&format!("\n  {difference}\n  asked {question:?}"));
        }
    }
    (!wrong.is_empty()).then(|| format!("{} ({}):{wrong}", case.id, asked.name()))
}
