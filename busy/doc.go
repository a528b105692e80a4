// Package busy is the vocabulary of busyd: the words that every other package
// speaks. It imports the standard library only and holds no behaviour beyond
// what a word needs to be used correctly.
//
// Intervals are half-open, [start, end). Instants are in UTC. A [Moment] is a
// time as its owner wrote it, which is not an instant until a zone is known.
package busy
