//! What every store must do. Both stores pass this file, so that a simulated night is worth a real one.
