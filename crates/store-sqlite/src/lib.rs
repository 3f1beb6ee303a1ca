//! Event log and session store on SQLite.
