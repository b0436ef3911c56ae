// The module's name and its packages' are those that the code generated from wit/ refers to.
module wit_component

go 1.25

require go.bytecodealliance.org/pkg v0.2.3
