//! The worker of gradsweep: the agent, the trial, data, networks, optimiser and measures.
