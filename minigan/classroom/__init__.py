"""The class kit: exercises, the grader of what students write, and the process that keeps the grader safe from it.

exercise    what an exercise is; layers, convolutions, losses and training hold the fifteen, catalogue lists them
own_layer   a class of one's own, judged as the layer of the library with its name
compare     is a result right, and if not, in what way is it wrong?
student     a student's file: loaded, called, and everything that can go wrong while it is
grading     from a file to a verdict, in this process
isolation   the same in a process of its own, with a limit of time and of memory
submissions whose is a file of a class, and which exercise does it answer?
handed_in   reads such files, from folders, zips and notebooks
solutions   the reference solutions, made from the library's own source
"""
