package api

func (a *api) mountPage() {}
