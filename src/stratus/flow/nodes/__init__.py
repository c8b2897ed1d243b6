"""The nodes, a few lines each: what a stage does is written in the stage."""
