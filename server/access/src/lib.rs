//! Who asks, by certificate or token, and what they may call.
