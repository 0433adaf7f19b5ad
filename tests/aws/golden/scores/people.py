"""Who may see the scores; both files of the program import it."""

from trunkline import collection

people = collection("people").allow("reading")
