"""The metrics layer: what each figure means, written once, as data.

``definitions/`` holds every metric and dimension; :mod:`.catalogue` reads them; a :class:`.query.Query` names some
of them and is checked before anything is read; :mod:`.compiler` turns it into SQL; :func:`.answer.answer` runs it
on the ledger; and the :class:`.result.Result` carries its receipt, so that a figure can be checked by someone who
does not trust us.
"""
