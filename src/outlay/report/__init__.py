"""How an answer is shown to a person: on a terminal, and as one HTML file that can be mailed, printed and kept.

Nothing is computed here but the rounding at the edge and the grouping of days into weeks for a picture. An amount
that a reader sees rounded stands beside its exact value (``data-value`` in HTML, ``--json`` on the terminal).

- ``wording``: the sentence that a non-specialist understands, and how amounts, shares and dates are written;
- ``terminal``: tables that hold at 80 columns and without colour;
- ``html``: the self-contained overspend report; ``charts`` draws its one picture;
- ``commit_html``: the commitment plan as such a file, with ``commit_charts`` and ``commit_ladder`` for its drawings;
- ``page`` and ``drawing``: the frame and the SVG that both have in common.
"""
