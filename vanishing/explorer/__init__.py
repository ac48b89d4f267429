"""The interactive page on a study or on watched trainings: one HTML file that asks no network.

- page: the page, made into HTML, saved, and shown in a notebook
- study, runs: the content of a page, from a study's folder or from watched trainings
- content: tables of layers, histograms and curves as the page takes them
- encoding: content as JSON that a script element can hold
- assets: the template, the style and the JavaScript modules, which need no build
"""
