"""The class kit: exercises, the judge of what students write, and the process that keeps the judge safe from it.

exercise    what an exercise is; layers, convolutions, losses and training hold the fifteen, catalogue lists them
own_layer   a class of one's own, judged as the layer of the library with its name
answers     the answer key: what each function is to return, by the library
compare     is a result right, and if not, in what way is it wrong?
grading     from a file to a verdict, on numbers that are drawn anew
student     a student's file from the judge's side: called, and everything that can go wrong while it is
isolation   the process that it runs in; worker is that process, sandbox the walls around it
submissions whose is a file of a class, and which exercise does it answer?
handed_in   reads such files, from folders, zips and notebooks
solutions   the reference solutions, made from the answer key's own source
"""
