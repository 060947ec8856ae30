//! What passes, what does not, and what is said about it.
