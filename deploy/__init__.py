"""Container files and stacks; ``deploy.demo`` starts the real parts that demo, tests and benchmarks share."""
