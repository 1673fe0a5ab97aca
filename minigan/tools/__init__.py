"""What commands, trainers and notebooks use: the command line, tables over seeds, plots, the supervised loop."""
