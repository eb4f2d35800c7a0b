module loadtest.gavel.dev/asked

go 1.22
