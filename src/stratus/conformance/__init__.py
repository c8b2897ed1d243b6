"""Replays recordings of a real Kubernetes and says where the embedded cluster differs.

The parts: `golden` reads a folder of recordings, `world` prepares a cluster as the recorded one was, each module under
`suites` replays one file of the folder, `runner` runs them, `matrix` holds the result and `page` writes it down.
"""
