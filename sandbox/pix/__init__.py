"""The parts of the stand-in of a bank that offers the Pix API of the central bank of Brazil."""
