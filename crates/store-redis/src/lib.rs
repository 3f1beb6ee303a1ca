//! Session store on Redis.
