"""The commands of the ``mvcgc`` program, a module each; `registry` lists its verbs.

A module holds the verb with its arguments, and imports heavy packages inside its functions: ``status``,
``logs`` and ``cancel`` run on login nodes, where importing torch takes longer than the command.
"""
