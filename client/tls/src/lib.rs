//! Certificates, keys and authorities from PEM files that are followed, and rustls configurations made of them.
