module example.org/wishes

go 1.22
