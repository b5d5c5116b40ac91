print("alula-run")
