// Package seal encrypts what busyd must keep but must not be able to leak: the
// customers' credentials, the addresses and names of their calendars, and the
// subjects of their events.
//
// It is envelope encryption. A master key, which the operator holds, wraps one
// data key a tenant, which the database holds. The data key and a random salt
// yield the key of each datum. Destroying a tenant's wrapped data key makes all
// that it sealed unreadable, except with a backup that still has the wrapped key
// and the master key that wraps it.
package seal
