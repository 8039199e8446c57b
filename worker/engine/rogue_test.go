package engine

const rogueCommand = "rogue"

func rogueMain(string) int { return 0 }
