// Package store keeps busyd's records in PostgreSQL.
//
// Every method that touches a tenant's records takes the tenant, and runs in a
// transaction whose row-level security shows no others: see [Store.In]. The few
// that cross tenants use roles that see a handful of columns. Whatever is written
// with a time takes it from the caller. Times are kept to the microsecond.
//
// Errors are those of package busy where a caller can do something about them:
// ErrNotFound, ErrExists, ErrInvalid, ErrFenced, ErrNotDue, ErrChanged, ErrTaken,
// ErrInFlight, ErrOtherRequest. Others name the operation and the SQLSTATE, never a
// value.
//
// Rows are locked in one order: connection, calendars, resources by id, bookings by
// id. Whoever changes what an agenda says raises the resource's version first, which
// locks it until the change is committed.
package store
