//! Bus and JetStream event log on NATS.
