"""Reports: figures, Markdown, and the data of DVC's plots. Nothing here is judged.

- report: fills report.md.j2, the template of the study's main page
- markdown: the report's tables and numbers
- selection: the variants and epochs that a page has room for
- figures, card: whole figures, of several variants side by side and of one alone
- layout: how panels, legends and labels stand in a figure
- panels: each panel, a frame and an Axes in, nothing computed
- style: colours, lines, signs, and marks for values that an axis cannot show
- colors: colours of variants where lines differ in nothing else, for MLflow
- plot_data: the frame behind each figure
- runs: what is said of watched trainings
- dvc_plots: the CSV files that `dvc plots` draws
"""
