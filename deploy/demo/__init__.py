"""The real parts of demo, tests and benchmarks: simulator, guests, registry, engine, Prometheus."""
