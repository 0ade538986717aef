"""The facts behind the synthetic company's bills: what the money bought, in the formats that real systems export.

Each module writes one kind of fact and tells what it planted. Nothing here looks at a bill's file or asks the product:
the amounts come from the lines that the bill is made of (:mod:`outlay.demo.lines`), so facts and bill agree because
they are one company, and differ only where a difference is planted.
"""
