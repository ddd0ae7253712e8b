module orchestrate/init

go 1.22
