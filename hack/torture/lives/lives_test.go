package lives
