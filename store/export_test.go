package store

// What the tests need to see of the package's inside.
var OpenTuned = open

const (
	AgendaBlocks = agendaBlocks
	ClaimQuery   = claimQuery
)

func TenantTables() []string { return tenantTables() }
