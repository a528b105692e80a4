// Package storetest gives each test a database of its own, on a real PostgreSQL
// that the tests of a package share:
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
//	func TestX(t *testing.T) { env := storetest.New(t) }
//
// The server is started by the first test that needs it, and goes with the test
// process however that ends. If BUSYD_TEST_DATABASE_URL names a superuser's
// login to a running server, that one is used.
package storetest
