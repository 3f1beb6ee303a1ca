//! Receives GitHub's webhooks: verifies, normalises, appends durably, then answers.
