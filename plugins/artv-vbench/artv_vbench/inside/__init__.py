"""What runs where VBench is: in this process, or in one of VBench's own environment, which has neither artv nor this
package beside this folder. Python 3.9, numpy and torch are enough for it.
"""
